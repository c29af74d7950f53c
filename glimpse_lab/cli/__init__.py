"""The console commands ``glimpse-train`` and ``glimpse-eval``, which the scripts call, too.

Arguments are parsed before anything heavy is imported, so that help and mistakes come at once.
"""
