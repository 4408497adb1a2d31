"""Temporal models and their losses: tensors in, tensors out."""
