"""The ground floor: run folders, journals and what they say; never imports torch, faiss or PIL."""
