"""What turns texts into vectors: the model inside the `wordllama` package, or a service."""

from codeforge.stores.embeddings.builtin import WordLlamaEmbedder
from codeforge.stores.embeddings.http import HttpEmbedder

__all__ = ["HttpEmbedder", "WordLlamaEmbedder"]
