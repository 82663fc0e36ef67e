"""`python -m gcs_export_pipeline` and the file that spark-submit takes."""

import sys

from gcs_export_pipeline.pipeline import main

sys.exit(main())
