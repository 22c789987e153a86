// Package join is how a new machine becomes one of ours: it phones home with a
// token and a certificate request, and gets a certificate for its engine, its
// labels and a secret with which it tells the stages it reaches.
//
//	machine                                   scaler
//	  key made, never leaves the machine
//	  POST /v1/join {token, id, name, address, csr}
//	                                          token is ours -> order
//	                                          order has that machine?  (the cloud's list)
//	                                          name and address as listed?
//	                                          id joined with this key, or never?
//	  <- {cert, ca, secret, config}
//	  POST /v1/stage, /v1/lease  Authorization: Bearer ID:SECRET
//
// Tokens and secrets are derived from the authority's directory and not
// stored: any scaler that has the directory knows them. A certificate of a
// machine is good for serving only, so that a machine that was broken into
// cannot give orders to the engines of others.
//
// The handler runs no goroutine, signs at most 32 requests at a time and reads
// at most 16 KiB of each. Tokens are never logged whole.
package join
