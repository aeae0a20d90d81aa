"""What turns texts into vectors: the model inside the `wordllama` package, or a service."""

from codeforge.stores.embeddings.builtin import BUILT_IN_MODEL, WordLlamaEmbedder
from codeforge.stores.embeddings.http import HttpEmbedder

__all__ = ["BUILT_IN_MODEL", "HttpEmbedder", "WordLlamaEmbedder"]
