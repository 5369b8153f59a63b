"""Interactive segmentation: the first mask of an object from clicks, a box or scribbles."""
