package devregistry_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"spillway/upsync/devregistry"
)

// A test starts a registry, breaks it for one request, and sees what a client
// of Consul would.
func Example() {
	r := devregistry.New(devregistry.Options{Logger: slog.New(slog.DiscardHandler)})
	defer r.Close()
	server, err := r.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	r.PutKV("upstreams/web/10.0.0.1:80", []byte(`{"weight":2}`))
	r.SetFault(devregistry.OnPath("/v1/kv/", devregistry.Script(devregistry.NoLeader())))

	defer http.DefaultClient.CloseIdleConnections()
	for range 2 {
		resp, err := http.Get(server.URL() + "/v1/kv/upstreams/web/?keys")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, string(body))
	}
	fmt.Println(r.Count("/v1/kv/"), "requests")
	// Output:
	// 500 No cluster leader
	// 200 ["upstreams/web/10.0.0.1:80"]
	// 2 requests
}
