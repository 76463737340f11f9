"""Where a run can be watched and found again, one file per option of ``logger``."""
