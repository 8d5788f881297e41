"""What both models' training shares: reading renders, the training loop, metrics, ONNX Runtime."""
