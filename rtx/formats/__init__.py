"""How pages write dates and times. Read by Django's FORMAT_MODULE_PATH; holds nothing else."""
