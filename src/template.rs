//! The templates of mappings and project files: minijinja, with nothing in reach but what it is given.
