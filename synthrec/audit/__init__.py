"""The audit: utility by a fixed protocol, a membership attack beside its bound, a verdict by
policy; takes tables, knows no model.
"""
