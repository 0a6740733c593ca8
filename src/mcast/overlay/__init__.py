"""The decisions: who answers what, who is whose parent, which server. Pure."""
