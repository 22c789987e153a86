// Package openstack is the driver of OpenStack: one project in one region, by
// Keystone (version 3) and Nova, through gophercloud, which is used for requests
// and answers alone. It needs Nova's microversion 2.52 (2017).
//
// A batch is one request with min_count 1, of which the project's quota may
// grant a part. Nova knows no client token and no unique names, so that a
// request is never repeated in doubt: everything needed to find its machines is
// in the request. Metadata hold the tags; server tags repeat the cluster, pool
// and order, because only they can be asked for by everybody.
//
// That there is no room is not said by the request that asks for it. Nova takes
// it, and the server fails later ("No valid host was found"): such a machine is
// Failed with that reason, and is to be deleted as any other.
//
// Nova knows no prices. They, and which flavors are bought, are configured.
//
// The driver keeps a token, which gophercloud renews when it has run out, and
// the ids of flavors; it starts no goroutine of its own.
package openstack
