"""What other tools read: the pairs of a data set, an ONNX model, recommendations."""
