// Package ec2 is the driver of Amazon EC2: one account in one region, by a thin
// client of the Query API ("Actions", Amazon EC2 API Reference, version
// 2016-11-15). Requests are signed by the vendor's signer; nothing else of the
// vendor's SDK is used, which would be most of the program.
//
// A batch is one RunInstances with a client token, which is worth its zone, and
// with its tags. Machines of one batch bear the same Name tag, for people; they
// have no names of their own, and slots are bound to their ids. They are
// launched so that one that shuts itself down ends for good. A spot machine is
// one-time; what is about to be reclaimed is read from the state of spot
// requests, maintenance from scheduled events.
//
// Credentials come from where the vendor's tools look for them, in their order
// (credentials.go), are fetched anew before they expire, and are shown nowhere:
// no type that holds a secret prints it.
//
// The driver remembers three things, each only to spare a mistake or a call:
// its credentials, connections that are kept alive, and the ids it was given
// within the last ListLag, for EC2 may not know an instance it has just made,
// and "not found" would pass for "gone".
package ec2
