package cloudfake

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"spillway/scaler/cloud"
)

// aliyunType is an entry of DescribeInstanceTypes.
type aliyunType struct {
	InstanceTypeId, CpuArchitecture string
	CpuCoreCount                    int
	MemorySize                      float64 // GiB
	InstancePpsRx, InstancePpsTx    int
}

func (a *aliyun) describeInstanceTypes(ctx context.Context, p url.Values) (any, error) {
	wanted := aliyunList(p, "InstanceTypes")
	if len(wanted) > 10 {
		return nil, &aliyunFault{status: http.StatusBadRequest, code: "InvalidParameter.InstanceTypes", message: "At most 10 types."}
	}
	offerings, err := a.s.d.Offerings(ctx)
	if err != nil {
		return nil, err
	}
	var answer struct {
		InstanceTypes struct{ InstanceType []aliyunType }
		NextToken     string
	}
	seen := map[string]bool{}
	for i := range offerings {
		o := &offerings[i]
		if seen[o.Type] || (len(wanted) > 0 && !slices.Contains(wanted, o.Type)) {
			continue
		}
		seen[o.Type] = true
		arch := "X86"
		if o.Arch == "arm64" {
			arch = "ARM"
		}
		answer.InstanceTypes.InstanceType = append(answer.InstanceTypes.InstanceType,
			aliyunType{o.Type, arch, max(1, int(o.CPU)), float64(o.Memory) / (1 << 30), o.MaxPPS, o.MaxPPS})
	}
	return answer, nil
}

// aliyunZone is an entry of DescribeAvailableResource.
type aliyunZone struct {
	RegionId, ZoneId, Status, StatusCategory string
	AvailableResources                       struct{ AvailableResource []aliyunResources }
}

type aliyunResources struct {
	Type               string
	SupportedResources struct{ SupportedResource []aliyunResource }
}

type aliyunResource struct{ Value, Status, StatusCategory string }

func (a *aliyun) describeAvailableResource(ctx context.Context, p url.Values) (any, error) {
	if err := aliyunMissing(p, "RegionId", "DestinationResource"); err != nil {
		return nil, err
	}
	offerings, err := a.s.d.Offerings(ctx)
	if err != nil {
		return nil, err
	}
	var answer struct {
		AvailableZones struct{ AvailableZone []aliyunZone }
	}
	zones := &answer.AvailableZones.AvailableZone
	for i := range offerings {
		o := &offerings[i]
		if o.Spot != aliyunSpot(p) || (p.Get("ZoneId") != "" && p.Get("ZoneId") != o.Zone) || (p.Get("InstanceType") != "" && p.Get("InstanceType") != o.Type) {
			continue
		}
		at := slices.IndexFunc(*zones, func(z aliyunZone) bool { return z.ZoneId == o.Zone })
		if at < 0 {
			at = len(*zones)
			z := aliyunZone{RegionId: AliyunRegion, ZoneId: o.Zone, Status: "Available", StatusCategory: "WithStock"}
			z.AvailableResources.AvailableResource = []aliyunResources{{Type: "InstanceType"}}
			*zones = append(*zones, z)
		}
		list := &(*zones)[at].AvailableResources.AvailableResource[0].SupportedResources.SupportedResource
		*list = append(*list, aliyunStock(o))
	}
	return answer, nil
}

func aliyunSpot(p url.Values) bool {
	return p.Get("SpotStrategy") != "" && p.Get("SpotStrategy") != "NoSpot"
}

func aliyunStock(o *cloud.Offering) aliyunResource {
	if o.Available {
		return aliyunResource{o.Type, "Available", "WithStock"}
	}
	return aliyunResource{o.Type, "SoldOut", "WithoutStock"}
}

// aliyunPrice is PriceInfo.Price of DescribePrice.
type aliyunPrice struct {
	OriginalPrice, DiscountPrice, TradePrice float64
	Currency                                 string
}

func (a *aliyun) describePrice(ctx context.Context, p url.Values) (any, error) {
	if err := aliyunMissing(p, "RegionId", "InstanceType"); err != nil {
		return nil, err
	}
	offerings, err := a.s.d.Offerings(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(offerings, func(o cloud.Offering) bool {
		return o.Type == p.Get("InstanceType") && o.Spot == aliyunSpot(p) && (p.Get("ZoneId") == "" || p.Get("ZoneId") == o.Zone)
	})
	if i < 0 {
		return nil, &cloud.Error{Kind: cloud.Invalid, What: "type"}
	}
	hour := offerings[i].PriceHour
	var answer struct {
		PriceInfo struct{ Price aliyunPrice }
	}
	answer.PriceInfo.Price = aliyunPrice{OriginalPrice: hour, TradePrice: hour, Currency: "CNY"}
	return answer, nil
}
