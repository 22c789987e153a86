package main

import (
	_ "time/tzdata" // schedules name time zones, and images may come without any

	"spillway/configs"
	"spillway/scaler/policy"
)

// scalerPolicy is the policy that a file describes, validated.
func scalerPolicy(c *configs.ScalerPolicy) (*policy.Policy, error) {
	p := &policy.Policy{
		Min: c.Min, Max: c.Max, Target: c.Target, Concurrency: c.Concurrency, Utilization: c.Utilization, Beta: c.Beta,
		Lead: c.Lead, Fast: c.Fast, Slow: c.Slow, Trend: c.Trend, GrowthCap: c.GrowthCap,
		PanicRatio: c.PanicRatio, PanicWindow: c.PanicWindow, PanicHold: c.PanicHold,
		UpBand: c.UpBand, DownBand: c.DownBand, Window: c.Window, SpareShare: c.SpareShare, SpareUnits: c.SpareUnits,
		Up: policy.Step(c.StepUp), Down: policy.Step(c.StepDown), FlapBudget: c.FlapBudget, FlapPeriod: c.FlapPeriod,
		UnhealthyMax: c.UnhealthyMax, MaxAge: c.MaxAge, PerHour: c.PerHour, PerDay: c.PerDay, MoneyHorizon: c.MoneyHorizon,
		Settle: c.Settle, ElsewhereHold: c.ElsewhereHold, SeasonDays: c.SeasonDays, SeasonMin: c.SeasonMin,
	}
	for _, s := range c.Schedules {
		p.Schedules = append(p.Schedules, policy.Schedule{Name: s.Name, Cron: s.Cron, Duration: s.Duration, Zone: s.Zone, Units: s.Units})
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}
