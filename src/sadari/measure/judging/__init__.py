"""A model as judge: asked by a rubric, held to what people say, and never believed more than it deserves."""
