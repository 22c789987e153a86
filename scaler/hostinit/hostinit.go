// Package hostinit makes a bare machine a uniform Docker host: it renders the
// user-data from layered profiles, and it is the side that machines phone home
// to: a one-time token and a certificate request go in, a certificate for
// mutual TLS comes out, then the stages as they are reached.
package hostinit
