"""What a job would come to, told before it runs: sizes computed from facts, time and memory from finished jobs."""

from winnow.contract.forecast.steps import StepForecast, forecast_steps

__all__ = ["StepForecast", "forecast_steps"]
