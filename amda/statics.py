"""Static files of production: compressed, and named by their content, modules included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStatics(CompressedManifestStaticFilesStorage):
    """A new release is fetched at once by every browser, an unchanged file never again."""

    support_js_module_import_aggregation = True
