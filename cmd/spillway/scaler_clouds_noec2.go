//go:build no_ec2

package main

import (
	"errors"

	"spillway/configs"
	"spillway/scaler/cloud"
)

func newEC2(string, *configs.ScalerProvider) (cloud.Driver, error) {
	return nil, errors.New("this program was built without ec2")
}
