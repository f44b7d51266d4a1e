"""All that touches a transformer: text, training, loading, sites, deltas, scores, moments."""
