//go:build no_hetzner

package main

import (
	"errors"

	"spillway/configs"
	"spillway/scaler/cloud"
)

// newHetzner stands for the driver that was left out.
func newHetzner(string, *configs.ScalerProvider) (cloud.Driver, error) {
	return nil, errors.New("this spillway was built without hetzner (tag no_hetzner)")
}
