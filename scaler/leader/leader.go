// Package leader elects one scaler among many by a lock on a Consul session.
// The lease is advisory: what makes a second leader harmless is the Fence that
// every write of the ledger carries and Verify before each destructive call.
package leader
