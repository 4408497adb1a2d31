"""Features and events of other toolboxes: read here, and written for them.

names             which name of theirs means which video of ours, and what ours are called there
foreign_arrays    one array of a .npy or .npz file, its header checked before anything is read
axes              which axis of an array is time
grids             when the steps of features without times are
feature_layouts   folders of (T, D), (T, 1, 1, D), (D, T) to a `TrackSet`, and tracks to such folders
stored_features   features of one kind in OUT, one at a time
toolboxes         a modality of OUT as OpenTAD, ActionFormer or PDAN keep it, with the settings they need
event_export      events as ActivityNet JSON, and as subtitles
event_import      events of any origin, checked
event_evaluation  those events against annotations

Nothing a file says becomes a path before it was checked, and nothing is unpickled.
"""
