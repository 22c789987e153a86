// Package aliyun rents machines of Alibaba Cloud ECS: one account in one
// region, by the RPC API of 2014-05-26, signed with ACS3-HMAC-SHA256.
//
// A Create is one RunInstances (Amount, MinAmount 1, tags and all), and its
// token is the ClientToken. ECS answers a token that was refused for want of
// stock with that refusal ever after, so a new try needs a new token, which is
// what the attempt in cloud.Token is for. List follows NextToken; because ECS
// answers a RAM user without permission by an empty list, an empty one is
// believed only after a dry run has confirmed the permission. Events tells of
// spot machines under the lock Recycling.
//
// Credentials come, in the vendor's order, from the environment, the profile
// file, and the RAM role of the machine, and may be exchanged for those of a
// role by STS; they are fetched anew before they expire and never printed.
//
// It keeps nothing about machines between calls: only credentials until they
// expire, and the catalogue (kinds and prices) for some minutes. It starts no
// goroutine, and is safe for concurrent use.
package aliyun
