"""Where data sets keep frames and masks, told once for training and for evaluation."""
