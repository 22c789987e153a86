package main_test

import (
	"sync"
	"sync/atomic"
	"testing"
)

// matrixRow is one test of the matrix; several may play parts of one row.
type matrixRow struct {
	name string
	play func(*testing.T, *lab)
}

func matrix() []matrixRow {
	return []matrixRow{ // the longest first
		{"Consul three servers", rowsOfCluster},
		{"Consul one server", rowsOfAgent},
		{"Consul ACLs", rowsOfACLs},
		{"01 leader lost", rowLeaderLost},
		{"02 rpc errors", rowRPCErrors},
		{"03 agent down at start", rowAgentDownAtStart},
		{"04 agent restarts", rowAgentRestarts},
		{"04 name gone", rowNameGone},
		{"05 partition", rowPartition},
		{"06 index backwards", rowIndexBackwards},
		{"07 odd index", rowOddIndex},
		{"08 empty", rowEmpty},
		{"09 mass removal", rowMassRemoval},
		{"10 revoked token", rowRevokedToken},
		{"11 rate limited", rowRateLimited},
		{"12 bad bodies", rowBadBodies},
		{"12 endless bodies", rowEndlessBodies},
		{"13 crowd", rowCrowd},
		{"13 huge", rowHuge},
		{"13 odd entries", rowOddEntries},
		{"14 flapping", rowFlapping},
		{"15 stale", rowStale},
		{"16 many services", rowManyServices},
		{"17 time", rowTime},
		{"18 redirects", rowRedirects},
		{"18 TLS", rowTLS},
		{"19 deregistered", rowDeregistered},
		{"20 restart without registry", rowRestartWithoutRegistry},
		{"21 polls end", rowPollsEnd},
		{"server killed", rowBackendKilled},
	}
}

// matrixWidth is how many rows run at once.
const matrixWidth = 5

// TestRegistryMatrix plays every way in which the registry fails against the
// gateway as a process, and writes or checks the table of outcomes.
func TestRegistryMatrix(t *testing.T) {
	l := &lab{spillway: buildSpillway(t), ledger: &ledger{}}
	rows := matrix()
	var (
		played  atomic.Int32
		running sync.WaitGroup
		next    = make(chan matrixRow)
	)
	for range matrixWidth {
		running.Go(func() {
			for r := range next {
				t.Run(r.name, func(t *testing.T) {
					played.Add(1)
					r.play(t, l)
				})
			}
		})
	}
	for _, r := range rows {
		next <- r
	}
	close(next)
	running.Wait()
	if int(played.Load()) == len(rows) && !t.Failed() {
		l.ledger.verify(t)
	}
}
