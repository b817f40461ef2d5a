"""The model's configuration as Hugging Face knows it: saved as config.json inside every checkpoint."""

from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError
from transformers import AutoConfig, LlamaConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from p2med import plugins
from p2med.errors import RecipeError

FOLDERS = {
    "encoder": "p2med.model.encoders",
    "connector": "p2med.model.connectors",
    "adapter": "p2med.model.adapters",
}


class P2MedConfig(PretrainedConfig):
    """Shape of encoder, connector, language model and adapter.

    `encoder`, `connector` and `adapter` are `{"kind": plug-in file name, ...its Options}` or None;
    `adapter` is None until a stage learns one. `report_words` are the token ids and `report_diseases`
    the diseases that linear heads predict (train/objectives/report_words.py, answer_words.py).
    """

    model_type = "p2med"
    sub_configs = {"text_config": AutoConfig}

    def __init__(
        self,
        text_config: dict[str, Any] | PretrainedConfig | None = None,
        encoder: dict[str, Any] | None = None,
        connector: dict[str, Any] | None = None,
        adapter: dict[str, Any] | None = None,
        image_size: int = 336,
        image_token_id: int = 4,
        report_words: list[int] | None = None,
        report_diseases: list[str] | None = None,
        **kwargs: Any,
    ):
        if isinstance(text_config, dict):
            kind = text_config.get("model_type", "llama")
            text_config = CONFIG_MAPPING[kind](**{k: v for k, v in text_config.items() if k != "model_type"})
        self.text_config = text_config if text_config is not None else LlamaConfig()
        self.encoder = encoder
        self.connector = connector
        self.adapter = adapter
        self.image_size = image_size
        self.image_token_id = image_token_id
        self.report_words = list(report_words or [])
        self.report_diseases = list(report_diseases or [])
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            kwargs.setdefault(name, getattr(self.text_config, name, None))
        kwargs.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**kwargs)


def plugin(folder: str, part: dict[str, Any]) -> tuple[ModuleType, BaseModel]:
    """The plug-in module of a part and its checked options.

    Raises:
      RecipeError: there is no such plug-in, or it knows no such option.
    """
    module = plugins.load(FOLDERS[folder], part["kind"])
    values = {k: v for k, v in part.items() if k != "kind"}
    try:
        return module, module.Options.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(x) for x in fault["loc"])
        known = ", ".join(sorted(module.Options.model_fields))
        raise RecipeError(
            f"model {folder} {part['kind']}, option {where}: {fault['msg']}; known here: {known}"
        ) from None


AutoConfig.register("p2med", P2MedConfig)
