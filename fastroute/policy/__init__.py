"""Pure decisions: who serves, who is kept away, how long to wait, what to do after a failure."""
