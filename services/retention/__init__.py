"""Making room: products that can be computed again are removed where they are old; raw data never."""
