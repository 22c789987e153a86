//go:build no_openstack

package main

import (
	"errors"

	"spillway/configs"
	"spillway/scaler/cloud"
)

// newOpenStack stands for the driver that was left out.
func newOpenStack(string, *configs.ScalerProvider) (cloud.Driver, error) {
	return nil, errors.New("this spillway was built without openstack (tag no_openstack)")
}
