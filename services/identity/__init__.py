"""Who may do what: services and their keys, proposals and their people."""
