"""Virtual time: the production engine on a clock that jumps to whatever happens next."""
