//go:build no_aliyun

package main

import (
	"context"
	"errors"

	"spillway/configs"
	"spillway/scaler/cloud"
)

// newAliyun stands for the driver that was left out.
func newAliyun(context.Context, *configs.Scaler, string, *configs.ScalerProvider) (cloud.Driver, error) {
	return nil, errors.New("this spillway was built without aliyun (tag no_aliyun)")
}
