package main

// dev tries everything out on one machine.
func (t *terminal) dev(args []string) int { return t.misuse("dev is not there yet") }
