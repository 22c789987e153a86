package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rowsOfCluster play the loss of a leader against three real servers.
func rowsOfCluster(t *testing.T, l *lab) {
	nodes := startConsul(t, l, 3, "")
	alive := func() *consulNode {
		for _, n := range nodes {
			if !n.gone(0) && n.leader() != "" {
				return n
			}
		}
		return nodes[0]
	}
	leader := func() *consulNode {
		var found *consulNode
		await(t, 30*time.Second, "a leader", func() bool {
			at := alive().leader()
			for _, n := range nodes {
				if n.ip == at && !n.gone(0) {
					found = n
				}
			}
			return found != nil
		})
		return found
	}
	first := leader()
	var others []*consulNode
	for _, n := range nodes {
		if n != first {
			others = append(others, n)
		}
	}
	s := newConsulScene(t, l, fmt.Sprintf("  addresses: [%q, %q, %q]\n  consistency: default\n  wait: 1s", first.addr(), others[0].addr(), others[1].addr()), alive)
	s.run()
	s.suffer(episode{
		row: 1, name: "`kill -9` of the leader of three servers, which the gateway asked",
		inject: func(*scene) {
			first.kill()
			for _, n := range others {
				await(t, 30*time.Second, "another leader", func() bool { at := n.leader(); return at != "" && at != first.ip })
			}
			others[0].awaitLeader()
		},
		seen: all("error unreachable"), brief: true, served: lastKnown + ", then the next address",
	})
	s.suffer(episode{
		row: 1, name: "quorum lost: one of three servers left, `No cluster leader`",
		inject: func(*scene) {
			others[0].kill()
			await(t, 30*time.Second, "no leader", func() bool { return others[1].leader() == "" })
		},
		recover: func(*scene) {
			first.start()
			others[0].start()
			for _, n := range nodes {
				n.awaitLeader()
			}
		},
		seen: all(everything), hold: time.Second, served: lastKnown, limit: electionLimit,
	})
	s.suffer(episode{
		row: 2, name: "the asked server loses the others: 500 to whatever needs the leader, then they return",
		inject: func(*scene) {
			others[0].freeze()
			others[1].freeze()
			await(t, 30*time.Second, "no leader", func() bool { return first.leader() == "" })
		},
		recover: func(*scene) {
			others[0].thaw()
			others[1].thaw()
			for _, n := range nodes {
				n.awaitLeader()
			}
		},
		hold: time.Second, served: lastKnown, limit: electionLimit,
	})
}

// electionLimit is how soon changes are followed after an election: a read
// that waited for a leader on the server may still fail, and then backs off.
const electionLimit = 3 * time.Second

// rowsOfAgent play restarts, partitions and snapshots against one real
// server.
func rowsOfAgent(t *testing.T, l *lab) {
	node := startConsul(t, l, 1, "")[0]
	// Consul's streaming backend, which answers reads of health, lets go of a
	// read that waits for an index from before a restore only when its wait
	// ends.
	s := newConsulScene(t, l, "  address: "+node.addr()+"\n  wait: 2s", func() *consulNode { return node })
	back := func(*scene) {
		node.start()
		node.awaitLeader()
	}
	s.startGateway()
	s.dumped()
	s.endGateway(s.gateway)
	node.kill()
	s.fromDump(3, "agent down at start, with a dump", func() { back(s) })
	s.suffer(episode{
		row: 4, name: "agent killed (-9) and started again",
		inject:  func(*scene) { node.kill() },
		recover: back, seen: all("error unreachable"), hold: time.Second, served: lastKnown,
	})
	s.suffer(episode{
		row: 5, name: "agent frozen: it accepts and says nothing",
		inject:  func(*scene) { node.freeze() },
		recover: func(*scene) { node.thaw(); node.awaitLeader() },
		seen:    all("error unreachable"), served: lastKnown,
	})
	s.restores(node)
	s.suffer(episode{
		row: 8, name: "KV wiped, all instances deregistered",
		inject:  func(s *scene) { consulLister{func() *consulNode { return node }}.removeAll() },
		recover: func(s *scene) { s.list(s.base...) },
		seen:    all("verdict refused"), says: "empty", hold: 300 * time.Millisecond, served: lastKnown,
	})
	s.deregisters()

	s.dumped()
	s.traffic.stop()
	node.kill()
	s.gateway.kill()
	s.fromDump(20, "gateway killed (-9) and started while Consul is away", func() { back(s) })
}

// restores saves a snapshot, goes on, and restores it: indexes go back.
func (s *scene) restores(node *consulNode) {
	s.t.Helper()
	saved := node.must("GET", "/v1/snapshot", nil)
	later := s.fleet.add()
	s.list(later)
	s.arrives(later, time.Now(), time.Second, "after the snapshot")
	for i := range 10 {
		s.lister.touch(s.base[1], i+1)
	}
	s.suffer(episode{
		row: 6, name: "snapshot saved and restored: indexes go back (wait: 2s)",
		inject: func(s *scene) {
			node.must("PUT", "/v1/snapshot", saved)
			s.leaves(later)
		},
		served: lastKnown + "; the server the snapshot lacks goes",
	})
}

// rowsOfACLs play a revoked token against a real server that checks them.
func rowsOfACLs(t *testing.T, l *lab) {
	node := startConsul(t, l, 1, aclConfig)[0]
	s := newConsulScene(t, l, "", func() *consulNode { return node })
	reader := node.policy("reader", `key_prefix "" { policy = "read" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`)
	blind := node.policy("blind", `agent_prefix "" { policy = "read" }`)
	id, secret := node.token(reader)
	file := filepath.Join(s.dir, "token")
	write := func(secret string) {
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret)
	// A read of KV that waits sees nothing of a right that is gone: its length
	// is how long it takes to notice.
	s.consul = "  address: " + node.addr() + "\n  wait: 1s\n  token_file: " + file
	s.run()
	s.suffer(episode{
		row: 10, name: "policies taken from the token: empty answers, marked as filtered (wait: 1s)",
		inject: func(s *scene) {
			node.must("PUT", "/v1/acl/token/"+id, toJSON(tokenWith(blind)))
			s.lister.touch(s.base[0], 1) // ends the reads under way
		},
		recover: func(*scene) { node.must("PUT", "/v1/acl/token/"+id, toJSON(tokenWith(reader))) },
		seen:    all("verdict refused"), says: "empty", hold: time.Second, served: lastKnown, limit: 2 * time.Second,
	})
	s.suffer(episode{
		row: 10, name: "token deleted, 403; a new one put into the token file",
		inject: func(s *scene) {
			node.must("DELETE", "/v1/acl/token/"+id, nil)
			s.lister.touch(s.base[0], 2)
		},
		recover: func(*scene) {
			_, secret := node.token(reader)
			write(secret)
		},
		seen: all("error forbidden"), says: "403", hold: time.Second, served: lastKnown,
	})
}

func tokenWith(policy string) map[string]any {
	return map[string]any{"Policies": []map[string]string{{"Name": policy}}}
}

func (n *consulNode) policy(name, rules string) string {
	n.must("PUT", "/v1/acl/policy", toJSON(map[string]string{"Name": name, "Rules": rules}))
	return name
}

func (n *consulNode) token(policy string) (id, secret string) {
	answer := string(n.must("PUT", "/v1/acl/token", toJSON(tokenWith(policy))))
	return field(answer, "AccessorID"), field(answer, "SecretID")
}

// field is a text in an answer whose other fields do not matter.
func field(answer, name string) string {
	_, rest, _ := strings.Cut(answer, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// rowBackendKilled is not about the registry: a server is killed under load,
// and no idempotent request fails.
func rowBackendKilled(t *testing.T, l *lab) {
	s := newScene(t, l)
	place := l.place()
	var daemons []*daemon
	for i := range 2 {
		addr := fmt.Sprintf("%s:%d", place, 9000+i)
		daemons = append(daemons, startBackendProcess(t, addr))
		s.list(addr)
		s.base = append(s.base, addr)
	}
	s.startGateway()
	s.traffic = startTraffic(t, s.ip+":8080", true, sources()...)
	s.serves(s.base...)
	for i, d := range daemons {
		s.keepsServing(200 * time.Millisecond)
		d.kill()
		s.keepsServing(time.Second)
		if i == 0 {
			daemons[i] = startBackendProcess(t, s.base[3])
		}
	}
	s.converges(time.Second, "after servers were killed")
	s.note(22, "`kill -9` of a server under load (GET), twice, and its return", "the other servers, by retries", "-", "-")
}
