"""The main job on stores that outgrow one machine: `python -m ops.cluster --dir DIR` (make demo-cluster)."""
