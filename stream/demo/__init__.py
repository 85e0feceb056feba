"""The main job on one machine: drifting scans, inspection that never stops, an oracle inspector, online learning."""
