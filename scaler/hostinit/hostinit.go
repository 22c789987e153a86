// Package hostinit makes a bare machine a uniform Docker host.
//
// This package turns layered profiles into user-data: the same profile gives
// the same text, and its hash tells machines that were made by an older one.
// It also says what becomes of a machine that passed a deadline. What the
// machine and the scaler say to each other is in join, what our own init does
// on a machine in machine; clouds run the shell script rendered here, which
// does the same with curl and openssl.
//
// Nothing here does I/O or starts a goroutine.
package hostinit
