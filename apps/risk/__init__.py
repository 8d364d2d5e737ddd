"""RTX app `risk`: limits, margin monitor, liquidation, breakers, kill switch, exposure."""
