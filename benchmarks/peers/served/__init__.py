"""What runs inside the peers, in their own environments: only numpy and onnxruntime are shared with us."""
