# Sources of payment callbacks for terraform, rendered by callgate. Do not edit: change the policy.
# mode exclusive: a security group admits nobody that no rule of it names
# policy example revision 3 digest 05d279a8721aabe0 (Example Pay)
# 1 IPv4 and 0 IPv6 prefixes
# An address list is not authentication: verify each callback as well.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "security_group_id" {
  description = "The security group that receives the callbacks"
  type        = string
}

locals {
  callbacks_v4 = {
    "20.91.170.120/29" = "callgate example/all active (Cloud)"
  }
}

resource "aws_vpc_security_group_ingress_rule" "callbacks_v4_443" {
  for_each = local.callbacks_v4

  security_group_id = var.security_group_id
  cidr_ipv4         = each.key
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
  description       = each.value
}
