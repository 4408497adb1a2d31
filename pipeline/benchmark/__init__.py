"""`augrgb benchmark NAME`: a data set's table from one command, ours beside what was published.

catalogue        the data sets: what annotations hold, recipe, training, protocols
published        figures of others, each with its source
options          what was asked for
prepare          annotations, videos that are there and that are missing, features
folds, cells     which videos train and which judge: by seed, by fold, by number of labelled videos
rows             rows of the table and the models they need
work, workers, train_and_judge    the work, in several processes
results, tables, page             from what was measured to benchmark.json, .md and .html
run              all of it, in order
"""
