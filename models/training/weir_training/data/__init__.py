"""Steps from a labelled history as it is found to one that can be trained on."""
