"""How safe the cache is, measured on labelled pairs: false hits by kind of difference, paraphrases found, calibration.

`pairs` reads the files, `counting` and `eq8` measure, `calibrating` chooses the weights that ship, `page` renders what
was measured. Needs the pair files of the repository; the cache itself needs none of this.
"""
