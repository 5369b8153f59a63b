"""Training: stills and clips -> rollout of the model contract -> losses -> loop."""
