"""Publishing on the Hugging Face Hub: what is sent is checked before, goes in one commit, and is loaded back.

parcel.py      the files, their sizes and SHA-256; what may never be sent
checkpoint.py  a checkpoint folder -> parcel: config, licence, card, weights, a trial run
space.py       a Space's folder -> parcel: front matter, pinned requirements
repository.py  one repository on the Hub: what lies there, one commit, tags
push.py        puts them together
saving.py      what a Segmenter can be written as: a checkpoint, a repository, graphs
"""
